"""Captions in the scripts of the world: distinct words have distinct ids, few are unknown."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

import multimodal_gen as mg
from multimodal_gen.loaders.text.tokens import TokenEncoder

# The last two sentences of each are held out. Where a script puts no spaces between words, "|"
# stands for them.
SENTENCES = {
    "Latin with marks": """Žena nese červený hrnek na dřevěný stůl.
        Muž opravuje starou židli v zahradě.
        Przyjaciółka kupiła żółty płaszcz i czapkę.
        Một con mèo trắng ngủ trên ghế gỗ cũ.
        Elle a reçu un gâteau à la crème brûlée.
        Kırmızı ışık sönünce çocuk eve koştu.
        Der Hund läuft über die Straße, und Özgür lacht.
        Ngôi nhà nhỏ nằm giữa khu vườn đầy hoa.""",
    "Cyrillic": """Женщина несёт красную кружку на деревянный стол.
        Мужчина чинит старый стул в саду.
        Рыжий кот спит на тёплой подушке у окна.
        Дети рисуют синий дом и жёлтое солнце.
        Объявление висит над входом в магазин.
        На снимке хлеб, молоко и ещё яблоко.
        Мой сосед купил чёрный зонт и шляпу.
        Дівчинка їсть ґречані оладки на ґанку.""",
    "Greek": """Η γυναίκα κρατάει μια κόκκινη κούπα.
        Ο άνδρας επισκευάζει την παλιά καρέκλα στον κήπο.
        Μια άσπρη γάτα κοιμάται πάνω στο ξύλινο τραπέζι.
        Τα παιδιά ζωγραφίζουν ένα μπλε σπίτι με κίτρινο ήλιο.
        Το βιβλίο είναι δίπλα στο φλιτζάνι του καφέ.
        Ένας ψαράς φέρνει φρέσκα ψάρια στην αγορά.
        Η ομπρέλα είναι μαύρη και το καπέλο γκρίζο.
        Ο δρόμος περνά δίπλα από τη θάλασσα.""",
    "Arabic": """تحمل المرأة كوبا أحمر إلى الطاولة الخشبية.
        يصلح الرجل الكرسي القديم في الحديقة.
        تنام القطة البيضاء على السجادة قرب النافذة.
        كَتَبَ الوَلَدُ رِسَالَةً طَوِيلَةً.
        كُتُبٌ كَثِيرَةٌ عَلَى الرَّفِّ.
        اشترى جاري مظلة سوداء وقبعة وثوبا ذا جيب صغير.
        هذا الخبز طازج والشاي ساخن جدا.
        ضَحِكَ الطِّفْلُ ثُمَّ نَامَ.""",
    "Hebrew": """האישה מניחה ספל אדום על שולחן העץ.
        הגבר מתקן כיסא ישן בגינה.
        חתול לבן ישן ליד החלון.
        יֶלֶד קוֹרֵא סֵפֶר גָּדוֹל.
        הַסַּפָּר גָּזַר אֶת הַשֵּׂעָר.
        ציפור צהובה עומדת על ענף דק ליד הצריף.
        הילדה קנתה מטריה שחורה וכובע.
        אִמָּא שָׁרָה שִׁיר יָפֶה.""",
    "Devanagari": """औरत लाल प्याला लकड़ी की मेज़ पर रखती है।
        आदमी बगीचे में पुरानी कुर्सी ठीक करता है।
        कल हम नदी के किनारे घूमने जाएँगे।
        काल का पहिया घूमता रहता है।
        सफ़ेद बिल्ली खिड़की के पास सोती है।
        बच्चे नीला घर और पीला सूरज बनाते हैं।
        मेरे पड़ोसी ने काली छतरी और टोपी खरीदी।
        वह दिन भर किताब पढ़ता रहा।""",
    "Bengali": """মহিলাটি কাঠের টেবিলে লাল কাপ রাখেন।
        লোকটি বাগানে পুরোনো চেয়ার সারায়।
        সাদা বিড়াল জানালার পাশে ঘুমায়।
        শিশুরা নীল বাড়ি আর হলুদ সূর্য আঁকে।
        আমার প্রতিবেশী কালো ছাতা ও টুপি কিনেছে।
        জেলে নদী থেকে টাটকা মাছ ধরে আনে।
        মেয়েটি গরম চা আর রুটি খায়।
        বইটি টেবিলের উপরে আছে।""",
    "Tamil": """பெண் மர மேசையில் சிவப்பு கோப்பையை வைக்கிறாள்.
        ஆண் தோட்டத்தில் பழைய நாற்காலியை சரி செய்கிறான்.
        வெள்ளைப் பூனை ஜன்னல் அருகே தூங்குகிறது.
        குழந்தைகள் நீல வீடும் மஞ்சள் சூரியனும் வரைகிறார்கள்.
        என் அண்டை வீட்டார் கருப்பு குடை வாங்கினார்.
        மீனவர் புதிய மீன்களை சந்தைக்கு கொண்டு வருகிறார்.
        பாலும் பழமும் மேசையில் உள்ளன.
        ஊருக்கு போகும் பாதை நீளமானது.""",
    "Thai": """ผู้หญิง|วาง|แก้ว|สี|แดง|บน|โต๊ะ|ไม้
        ผู้ชาย|ซ่อม|เก้าอี้|เก่า|ใน|สวน
        แมว|ขาว|นอน|อยู่|ใกล้|หน้าต่าง
        เด็ก|วาด|บ้าน|สี|ฟ้า|กับ|ดวงอาทิตย์
        เพื่อนบ้าน|ซื้อ|ร่ม|สี|ดำ|และ|หมวก
        ชาวประมง|นำ|ปลา|สด|ไป|ตลาด|ทุก|เช้า
        เขา|ดื่ม|กาแฟ|ร้อน|ใน|ครัว
        หนังสือ|วาง|อยู่|ข้าง|น้ำ|ผลไม้""",
    "Lao": """ແມ່ຍິງ|ວາງ|ຈອກ|ສີ|ແດງ|ເທິງ|ໂຕະ
        ຜູ້ຊາຍ|ສ້ອມ|ຕັ່ງ|ເກົ່າ|ໃນ|ສວນ
        ແມວ|ຂາວ|ນອນ|ຢູ່|ໃກ້|ປ່ອງຢ້ຽມ
        ເດັກນ້ອຍ|ແຕ້ມ|ເຮືອນ|ສີ|ຟ້າ
        ເພື່ອນ|ຊື້|ຄັນຮົ່ມ|ສີ|ດຳ|ແລະ|ໝວກ
        ລາວ|ກິນ|ເຂົ້າ|ກັບ|ປາ""",
    "Khmer": """ស្ត្រី|ដាក់|ពែង|ក្រហម|លើ|តុ|ឈើ
        បុរស|ជួសជុល|កៅអី|ចាស់|ក្នុង|សួន
        ឆ្មា|ស|ដេក|ក្បែរ|បង្អួច
        កុមារ|គូរ|ផ្ទះ|ខៀវ|និង|ព្រះអាទិត្យ
        អ្នកជិតខាង|ទិញ|ឆត្រ|ខ្មៅ
        គាត់|ញ៉ាំ|បាយ|ជាមួយ|ត្រី""",
    "Burmese": """အမျိုးသမီး|က|ခွက်|အနီ|ကို|စားပွဲ|ပေါ်|တင်|သည်
        အမျိုးသား|က|ကုလားထိုင်|ဟောင်း|ကို|ပြင်|သည်
        ကြောင်|ဖြူ|သည်|ပြတင်းပေါက်|အနီး|အိပ်|သည်
        ကလေး|များ|အိမ်|အပြာ|ဆွဲ|ကြ|သည်
        သူ|က|ထမင်း|နှင့်|ငါး|စား|သည်
        မိန်းကလေး|သည်|ထီး|အနက်|ဝယ်|သည်""",
    "Chinese": """女人|把|红色|的|杯子|放在|木头|桌上。
        男人|在|花园|里|修理|旧|椅子。
        白猫|睡在|窗户|旁边。
        孩子们|画了|蓝色|的|房子|和|黄色|的|太阳。
        邻居|买了|一把|黑伞|和|一顶|帽子。
        渔夫|每天|早上|把|鲜鱼|带到|市场。
        咖啡|很热，|面包|刚刚|烤好。
        书店|门口|停着|三辆|自行车。""",
    "Japanese": """女の人が|赤い|カップを|木の|机に|置く。
        男の人が|庭で|古い|椅子を|直す。
        ふたの|写真を|撮る。
        ぶたの|写真を|見る。
        ハンダで|線を|つなぐ。
        パンダが|笹を|食べる。
        隣の|人は|黒い|傘と|帽子を|買った。
        コーヒーは|熱くて、|パンは|焼きたてだ。""",
    "Korean": """여자가 빨간 컵을 나무 식탁에 놓는다.
        남자가 정원에서 낡은 의자를 고친다.
        하얀 고양이가 창문 옆에서 잔다.
        아이들이 파란 집과 노란 해를 그린다.
        이웃은 검은 우산과 모자를 샀다.
        어부가 아침마다 싱싱한 생선을 가져온다.
        커피는 뜨겁고 빵은 갓 구웠다.
        책방 앞에 자전거 세 대가 서 있다.""",
    "Georgian": """ქალი წითელ ჭიქას ხის მაგიდაზე დებს.
        კაცი ბაღში ძველ სკამს აკეთებს.
        თეთრი კატა ფანჯარასთან წევს და ძინავს.
        ბავშვები ლურჯ სახლს და ყვითელ მზეს ხატავენ.
        მეზობელმა შავი ქოლგა და ქუდი იყიდა.
        ღამით ცხენი ჟოლოს ჭამს ეზოში.
        წიგნი სკამზე დევს.
        პური ახალია.""",
    "Amharic": """ሴቷ ቀይ ኩባያ በእንጨት ጠረጴዛ ላይ ታስቀምጣለች።
        ሰውየው በአትክልቱ ውስጥ አሮጌ ወንበር ይጠግናል።
        ነጭ ድመት በመስኮቱ አጠገብ ትተኛለች።
        ልጆች ሰማያዊ ቤትና ቢጫ ፀሐይ ይስላሉ።
        ጎረቤቴ ጥቁር ጃንጥላና ባርኔጣ ገዛ።
        ዓሣ አጥማጁ ትኩስ ዓሣ ወደ ገበያ ይወስዳል።
        ቡናው በጣም ሞቃት ነው።
        መጽሐፉ በወንበሩ ላይ አለ።""",
    "Armenian": """Կինը կարմիր բաժակը դնում է փայտե սեղանին։
        Տղամարդը պարտեզում նորոգում է հին աթոռը։
        Սպիտակ կատուն քնում է պատուհանի մոտ։
        Երեխաները նկարում են կապույտ տուն և դեղին արև։
        Հարևանը գնեց սև հովանոց ու գլխարկ։
        Ձկնորսը թարմ ձուկ է բերում շուկա։""",
}
MODELS = ["wordpiece", "bpe", "unigram", "wordlevel"]


def parts(script: str) -> tuple[list[str], list[str], list[str]]:
    """Sentences to train on, those held out, and the words of the former."""
    lines = [line.strip() for line in SENTENCES[script].splitlines()]
    without_spaces = "|" in lines[0]
    words = {word for line in lines[:-2] for word in line.split("|" if without_spaces else " ")}
    lines = [line.replace("|", "") for line in lines]
    return lines[:-2], lines[-2:], sorted(words)


def known_share(loader: mg.TextLoader, texts: list[str]) -> float:
    ids = np.concatenate([loader.read(text) for text in texts])
    return float((ids[ids > 0] != 1).mean())


@pytest.mark.parametrize("script", SENTENCES)
def test_words_that_differ_have_ids_that_differ_and_a_held_out_sentence_is_known(
    script: str,
) -> None:
    train, held_out, words = parts(script)
    assert len(words) > 20
    loader = mg.TextLoader.from_texts("text", train)
    ids = [loader.read(word).tobytes() for word in words]
    # Case apart, as "Der" and "der".
    assert len(set(ids)) == len({word.lower() for word in words})
    assert known_share(loader, train) == 1
    assert known_share(loader, held_out) > 0.99


@pytest.mark.parametrize("script", SENTENCES)
def test_held_out_sentences_fit_in_the_default_length(script: str) -> None:
    train, held_out, _ = parts(script)
    loader = mg.TextLoader.from_texts("text", train)
    assert isinstance(loader.encoder, TokenEncoder)
    needed = loader.encoder.replace(sequence_length=1000).lengths(held_out)
    assert max(needed) <= loader.encoder.sequence_length <= 70


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_the_other_models_that_learn_pieces_tell_the_words_of_all_scripts_apart_too(
    model: str,
) -> None:
    everything, held_out, words = (
        list(chain(*lists)) for lists in zip(*map(parts, SENTENCES), strict=True)
    )
    loader = mg.TextLoader.from_texts(
        "text", everything, model=model, lowercase=False, sequence_length=64
    )
    assert len({loader.read(word).tobytes() for word in words}) == len(set(words))
    assert known_share(loader, held_out) > 0.99
    assert loader.decode(loader.read(held_out[0])) == held_out[0]


def test_words_of_the_wordlevel_model_are_the_letters_of_scripts_without_spaces() -> None:
    for script in ("Thai", "Lao", "Khmer", "Burmese", "Chinese", "Japanese"):
        train, _, words = parts(script)
        loader = mg.TextLoader.from_texts("text", train, model="wordlevel")
        assert len({loader.read(word).tobytes() for word in words}) == len(words)
        assert known_share(loader, train) == 1
    assert loader.read("ふたの").tolist() != loader.read("ぶたの").tolist()


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram"])
@pytest.mark.parametrize("script", ["Thai", "Chinese", "Khmer"])
def test_a_caption_of_hundreds_of_letters_without_a_space_keeps_its_last_word(
    script: str, model: str
) -> None:
    words = parts(script)[2]
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(words, 120)) for _ in range(30)]
    assert min(map(len, texts)) > 100
    loader = mg.TextLoader.from_texts("text", texts, model=model)
    assert known_share(loader, texts) == 1
    # Whole sentences are not pieces: what is learned of one is of use for another.
    assert loader.spec.shape[0] > 30
    short = loader.replace(tokenizer=loader.encoder.replace(sequence_length=512))
    ends = {short.read(texts[0] + word).tobytes() for word in words}
    assert len(ends) == len(words)
    assert short.read_batch(texts)[3].tolist() == short.read(texts[3]).tolist()


def test_letters_and_signs_of_no_training_text_are_spelled_and_read_back() -> None:
    for model in ("wordpiece", "bpe", "unigram"):
        loader = mg.TextLoader.from_texts(
            "text", ["a red mug", "a blue mug"], model=model, sequence_length=40
        )
        for text in ("a red 잔", "a mug, 42 €", "naïve 😀 mug", "a red\u00a0杯子", "x" * 30 + "é"):
            array = loader.read(text)
            assert 1 not in array, (model, text)
            assert loader.decode(array) == text.replace("\u00a0", " "), model
            assert np.array_equal(loader.read_batch(["a", text])[1], array)
        assert not np.array_equal(loader.read("잔"), loader.read("컵"))
        spelled = [loader.encoder.token(one) for one in loader.read("mug€") if one]
        assert "".join(spelled).replace("##", "").endswith("mug<0xE2><0x82><0xAC>")
        mg.check_loader(loader, ["a red mug", "", "잔", "😀" * 200])


def test_of_a_caption_without_end_only_the_words_that_are_kept_are_encoded_again() -> None:
    texts = ["a red mug", "กาแฟร้อนในแก้ว"] * 3
    text = "杯" * 200 + " red " + "ก" * 200 + "mug"
    for side in ("right", "left"):
        loader = mg.TextLoader.from_texts("text", texts, sequence_length=50, truncation=side)
        whole = loader.replace(tokenizer=loader.encoder.replace(sequence_length=2000)).read(text)
        whole = whole[whole > 0]
        assert len(whole) > 600 and 1 not in whole
        assert (
            loader.read(text).tolist() == (whole[:50] if side == "right" else whole[-50:]).tolist()
        )
    assert np.count_nonzero(loader.read("杯" * 100_000)) == 50


@pytest.mark.parametrize("model", ["wordpiece", "bpe", "unigram"])
def test_lines_and_other_spaces_part_words_in_every_model(model: str) -> None:
    texts = [
        "a red\nmug with\ta lamp",
        "the\r\nblue mug\u2028and a\x0bdesk",
        "a  red\u3000lamp",
    ] * 3
    loader = mg.TextLoader.from_texts(
        "text", texts, model=model, vocabulary_size=2000, sequence_length=20
    )
    assert known_share(loader, texts) == 1
    assert loader.read("a\nred\tmug").tolist() == loader.read("a red mug").tolist()
    small = mg.TextLoader.from_texts(
        "text", texts, model=model, vocabulary_size=60, sequence_length=30
    )
    assert known_share(small, texts) == 1 and small.spec.vocabulary_size <= 60


def test_only_case_is_ignored_and_only_when_asked() -> None:
    texts = [
        "Straße Masse Maße",
        "İstanbul ısı isi ISI",
        "ΟΔΟΣ οδος",
        "Ёж еж",
        "ნანა",
        "résumé resume",
    ]
    loader = mg.TextLoader.from_texts("text", texts, sequence_length=12)

    def same(one: str, other: str) -> bool:
        return np.array_equal(loader.read(one), loader.read(other))

    assert (
        same("ΟΔΟΣ", "οδος")
        and same("İstanbul", "istanbul")
        and same("STRAẞE", "straße")
        and same("ЁЖ", "ёж")
    )
    assert (
        same("ᲜᲐᲜᲐ", "ნანა")
        and same("RÉSUMÉ", "re\u0301sume\u0301")
        and same("ＲＥＳＵＭＥ", "resume")
    )
    assert not any(
        same(*pair)
        for pair in [
            ("Masse", "Maße"),
            ("ısı", "isi"),
            ("Ёж", "еж"),
            ("résumé", "resume"),
            ("STRASSE", "Straße"),
        ]
    )
    assert same("ISI", "isi")
    exact = loader.from_texts("text", texts, lowercase=False, sequence_length=12)
    assert not np.array_equal(exact.read("ΟΔΟΣ"), exact.read("οδος"))


def test_a_vocabulary_too_small_for_the_letters_is_refused_and_a_large_one_spells_the_rarest() -> (
    None
):
    letters = [chr(0x4E00 + number) for number in range(900)]
    texts = ["".join(letters[: number + 1]) for number in range(0, 900, 30)]
    for model, least in (("wordpiece", 1745), ("bpe", 875), ("unigram", 875)):
        with pytest.raises(
            ValueError,
            match=rf"`vocabulary_size` must be at least {least}: the texts have 871 diff",
        ):
            mg.TextLoader.from_texts("text", texts, model=model, vocabulary_size=500)
        assert (
            mg.TextLoader.from_texts(
                "text", texts[:3], model=model, vocabulary_size=500
            ).spec.vocabulary_size
            <= 500
        )
        loader = mg.TextLoader.from_texts(
            "text", texts, model=model, vocabulary_size=1024, sequence_length=3000
        )
        assert loader.spec.vocabulary_size <= 1024
        assert known_share(loader, texts) == 1
        assert len(loader.read(letters[0]).nonzero()[0]) < len(
            loader.read(letters[870]).nonzero()[0]
        )
        # WordPiece takes a word in parts of a hundred letters.
        read = loader.decode(loader.read(texts[-1]))
        assert (read.replace(" ", "") if model == "wordpiece" else read) == texts[-1]
    with pytest.raises(
        ValueError, match=r"at least 45: the texts have 21 different.*Received: vocabulary_size=4$"
    ):
        mg.TextLoader.from_texts("text", ["abcdefghijklmnopqrstu"], vocabulary_size=4)
